export default {
  gateway: {
    input: "http://127.0.0.1:5000/openapi.json",
    output: {
      target: "gateway.ts",
      client: "axios-functions",
      // Where a response may be a file, orval reads every one as a Blob.
      override: {
        contentType: {
          exclude: ["image/png", "image/jpeg", "application/x-npy", "multipart/form-data"],
        },
      },
    },
  },
};
