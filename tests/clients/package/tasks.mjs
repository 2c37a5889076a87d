/** Asks a model of each task, named like its task. */
import { openAsBlob } from "node:fs";

const [, , module, url, image, numbers] = process.argv;
const { Classifier } = await import(module);
const gateway = new Classifier(url, { retries: 0 });
const picture = await openAsBlob(image);
const zeros = Array.from({ length: 4 }, () => Array.from({ length: 4 }, () => [0, 0, 0]));
const whyNot = (call) => call.then(() => "", ({ code, detail }) => ({ code, lack: detail.split("response: ")[1]?.slice(0, -1) }));

const { detections, size } = await gateway.detect(picture, { model: "detection" });
const { areas, size: whole } = await gateway.segment(picture, { model: "segmentation" });
const vector = await gateway.embed(picture, { model: "embedding", normalize: true });

console.log(
  JSON.stringify({
    tasks: (await gateway.models()).map(({ task }) => task),
    classify: labels(await gateway.classify(picture)),
    tensor: labels(await gateway.classify(zeros)),
    detect: [{ ...detections[0], box: Object.values(detections[0].box) }, size],
    segment: [areas[0], whole],
    "label map": (await gateway.labelMap(picture, { model: "segmentation" })).type,
    embed: [vector.embedding.map((number) => Number(number.toFixed(6))), vector.dimensions, vector.normalized],
    run: (await gateway.run(zeros, { model: "tensor" })).outputs,
    npy: (await gateway.npy([zeros, zeros], { model: "tensor", output: "y" })).type,
    file: (await gateway.run(await openAsBlob(numbers), { model: "tensor" })).outputs,
    rows: (await whyNot(gateway.run([zeros, zeros], { model: "tensor" }))).lack,
    "another task": (await whyNot(gateway.embed(picture, { model: "tensor" }))).lack,
    "not acceptable": (await whyNot(gateway.npy(picture, { model: "detection" }))).code,
  }),
);

function labels({ predictions }) {
  return predictions.map(({ label }) => label);
}
