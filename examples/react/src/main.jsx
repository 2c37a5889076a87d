import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { PictureClassifier } from "./PictureClassifier.jsx";

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <PictureClassifier model="digits" />
  </StrictMode>,
);
