/** Entry point of the page: one card for each picture, one request for each card. */

import { askForKey, isAboutTheKey, storedKey } from "./api_key.js";
import { Card } from "./card.js";
import { Classifier, ClassifierError } from "./classifier.js";
import { errorText } from "./dom.js";
import { takePictures } from "./intake.js";
import { ModelChoice } from "./model_choice.js";
import { ConcurrencyLimit } from "./concurrency_limit.js";

/** Limited because each request may decode a huge photo in full. */
const MAX_IN_FLIGHT = 3;

/** Where the cards are below everything else, as in page.css. */
const PHONE = matchMedia("(max-width: 36rem)");

const find = (id) => document.getElementById(id);
const say = (sentence) => {
  find("status").textContent = sentence;
};

const classifier = new Classifier(document.body.dataset.gateway, { apiKey: storedKey() });
const choice = new ModelChoice(find("choice"));
const limit = new ConcurrencyLimit(MAX_IN_FLIGHT);
const cards = new Set();
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
  for (const card of cards) if (card.refused) ask(card);
}

function add(files) {
  const fresh = files.map((file) => new Card(find("card"), file, { ask, cancel, explain, remove }));
  find("cards").prepend(...fresh.map((card) => card.element));
  find("results").hidden = false;
  for (const card of fresh) {
    cards.add(card);
    ask(card);
  }
  if (PHONE.matches) fresh[0].element.scrollIntoView();
}

function cancel(card) {
  say(card.cancel());
}

async function ask(card) {
  const signal = card.wait();
  await loaded; // a picture may be added before the models are loaded
  const options = choice.options();
  try {
    const answer = await limit.run(() => classifier.classify(card.file, { ...options, signal }));
    const url = classifier.predictUrl(answer.model, options);
    say(card.show(answer, { url, withKey: classifier.apiKey !== "" }));
  } catch (error) {
    if (!signal.aborted) fail(card, error);
  }
}

function fail(card, error) {
  rethrowUnexpected(error);
  say(card.fail(error));
  if (isAboutTheKey(error)) askForKey(find("key"), error, useKey);
  else if (error.isAboutModels) loadModels();
}

async function explain(card) {
  const { signal, answer } = card;
  const [{ classId, label }] = answer.predictions;
  const options = { model: answer.model, version: answer.version, classId, signal };
  say("Computing the heat map…");
  try {
    const heat = await limit.run(() => classifier.explain(card.file, options));
    say(`The heat map shows the areas that support ${label}.`);
    return heat;
  } catch (error) {
    if (signal.aborted) return "";
    rethrowUnexpected(error);
    say(errorText(error));
    return errorText(error);
  }
}

function remove(card) {
  card.close();
  cards.delete(card);
  find("results").hidden = cards.size === 0;
  find(cards.size === 0 ? "pick" : "results-title").focus();
  say(`${card.file.name} is removed.`);
}

/** Rethrow errors other than ClassifierError: they are bugs of the page and belong in the console. */
function rethrowUnexpected(error) {
  if (!(error instanceof ClassifierError)) throw error;
}

takePictures(add);
find("clear").addEventListener("click", () => [...cards].forEach(remove));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) loadModels();
});
const loaded = loadModels();
