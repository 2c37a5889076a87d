/** Wire the page together: pictures in, one card each, questions to the gateway. */

import { askForKey, isAboutTheKey, storedKey } from "./api_key.js";
import { Card } from "./card.js";
import { Classifier, ClassifierError } from "./classifier.js";
import { inWords } from "./dom.js";
import { takePictures } from "./intake.js";
import { ModelChoice } from "./model_choice.js";
import { Turns } from "./concurrency_limit.js";

/** Questions under way together; for each one a huge photo may be decoded in full. */
const AT_ONCE = 3;

const find = (id) => document.getElementById(id);
const say = (sentence) => {
  find("status").textContent = sentence;
};

const classifier = new Classifier(document.body.dataset.gateway, { apiKey: storedKey() });
const choice = new ModelChoice(find("choice"));
const turns = new Turns(AT_ONCE);
const cards = new Set();
let loading;

/** Load the list of models; who asks meanwhile waits for the same one. */
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
    mustBeTheServer(error);
    if (key !== classifier.apiKey) return; // said of a key that is no longer used
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
  const fresh = files.map((file) => new Card(find("card"), file, { ask, explain, remove }));
  find("cards").prepend(...fresh.map((card) => card.element));
  find("results").hidden = false;
  for (const card of fresh) {
    cards.add(card);
    ask(card);
  }
}

async function ask(card) {
  const signal = card.wait();
  await loaded; // people can be quicker than the list of models
  const wish = choice.wish();
  try {
    const answer = await turns.take(() => classifier.classify(card.file, { ...wish, signal }));
    const url = classifier.predictUrl(answer.model, wish);
    say(card.show(answer, { url, withKey: classifier.apiKey !== "" }));
  } catch (error) {
    if (!signal.aborted) fail(card, error);
  }
}

function fail(card, error) {
  mustBeTheServer(error);
  say(card.fail(error));
  if (isAboutTheKey(error)) askForKey(find("key"), error, useKey);
  else loadModels(); // another version, or none: the lists may be old
}

async function explain(card) {
  const { signal, answer } = card;
  const [{ classId, label }] = answer.predictions;
  const options = { model: answer.model, version: answer.version, classId, signal };
  say("Looking for what the model looked at…");
  try {
    const heat = await turns.take(() => classifier.explain(card.file, options));
    say(`The picture shows what says ${label}.`);
    return heat;
  } catch (error) {
    if (signal.aborted) return "";
    mustBeTheServer(error);
    say(inWords(error));
    return inWords(error);
  }
}

function remove(card) {
  card.close();
  cards.delete(card);
  find("results").hidden = cards.size === 0;
  find(cards.size === 0 ? "pick" : "results-title").focus();
  say(`${card.file.name} is removed.`);
}

/** Let defects of the page itself go on to the console. */
function mustBeTheServer(error) {
  if (!(error instanceof ClassifierError)) throw error;
}

takePictures(add);
find("clear").addEventListener("click", () => [...cards].forEach(remove));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) loadModels();
});
const loaded = loadModels();
