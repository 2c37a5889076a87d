import { createApp } from "vue";
import PictureClassifier from "./PictureClassifier.vue";

createApp(PictureClassifier, { model: "digits" }).mount("#app");
