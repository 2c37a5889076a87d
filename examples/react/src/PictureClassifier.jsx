import { Classifier, ClassifierError } from "image-classification-gateway";
import { useEffect, useState } from "react";

const gateway = new Classifier("http://127.0.0.1:5000");

export function PictureClassifier({ model }) {
  const [file, setFile] = useState();
  const [{ answer, error }, setResult] = useState({});

  useEffect(() => {
    setResult({});
    if (!file) return;
    const request = new AbortController(); // another file, or leaving the page, ends the request
    gateway.classify(file, { model, topK: 3, signal: request.signal }).then(
      (answer) => setResult({ answer }),
      (error) => request.signal.aborted || setResult({ error }),
    );
    return () => request.abort();
  }, [file, model]);

  return (
    <>
      <label>
        Picture <input type="file" accept="image/*" onChange={({ target }) => setFile(target.files[0])} />
      </label>
      {error && <p role="alert">{textOf(error)}</p>}
      {answer?.warnings.map((warning) => <p role="status" key={warning}>{warning}</p>)}
      <ol aria-label="Labels" aria-live="polite">
        {answer?.predictions.map(({ classId, label, score }) => (
          <li key={classId}>{label}: {(100 * score).toFixed(1)} %</li>
        ))}
      </ol>
    </>
  );
}

function textOf(error) {
  return error instanceof ClassifierError ? `${error.detail} (${error.code})` : String(error);
}
