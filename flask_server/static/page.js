/** Entry point of the page: connects its parts. */

import { askForKey, isAboutTheKey, storedKey } from "./api_key.js";
import { Classifier } from "./classifier.js";
import { offerExamples, suitExamples } from "./examples.js";
import { Gallery, rethrowUnexpected } from "./gallery.js";
import { History } from "./history.js";
import { takePictures } from "./intake.js";
import { LiveCamera } from "./live.js";
import { ModelCard } from "./model_card.js";
import { ModelChoice } from "./model_choice.js";

const find = (id) => document.getElementById(id);
const say = (sentence) => {
  find("status").textContent = sentence;
};

const classifier = new Classifier(document.body.dataset.gateway, { apiKey: storedKey() });
const choice = new ModelChoice(find("choice"), (model) => suitExamples(find("examples"), model));
let loading;

/** Load the list of models; concurrent callers share one request. */
function loadModels() {
  loading ??= showModels().finally(() => {
    loading = undefined;
  });
  return loading;
}

async function showModels() {
  const key = classifier.apiKey;
  try {
    choice.show(await classifier.models());
  } catch (error) {
    rethrowUnexpected(error);
    if (key !== classifier.apiKey) return; // the error belongs to a key that has been replaced
    if (isAboutTheKey(error)) askForKey(find("key"), error, useKey);
    else choice.fail(error);
  }
}

async function useKey(key) {
  classifier.apiKey = key;
  loading = undefined;
  await loadModels();
  gallery.askRefused();
}

function failed(error) {
  if (isAboutTheKey(error)) askForKey(find("key"), error, useKey);
  else if (error.isAboutModels) loadModels();
}

/** Return the response of the first chosen model for an image, for callers that show it themselves. */
function classify(picture, options) {
  return classifier.classify(picture, { ...choice.targets()[0], ...options });
}

const loaded = loadModels();
const gallery = new Gallery({
  classifier,
  loaded,
  targets: () => choice.targets(),
  thresholdOf: (model) => choice.thresholdOf(model),
  say,
  failed,
  answered: (card, line) => history.keep(card, line),
  removed: (card) => history.release(card),
});
const add = (files) => gallery.add(files);
const history = new History(find("history"), { box: find("remember"), again: (file) => add([file]), say });
const live = new LiveCamera(find("live"), {
  button: find("live-start"),
  classify,
  detectsFrom: () => (choice.chosen?.task === "detection" ? choice.thresholdOf(choice.chosen.name) : undefined),
  keep: (file) => add([file]),
  say,
});

new ModelCard(find("model-card"), {
  button: find("about-model"),
  describe: () => classifier.model(choice.chosen?.name ?? ""),
});
takePictures(add, live);
offerExamples(find("examples"), add);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) loadModels();
});
