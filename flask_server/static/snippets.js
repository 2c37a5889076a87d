/** Write a request as a shell command or a program that repeats it. */

/** Return the request for curl, fetch and Python, with a placeholder for the API key. */
export function snippets({ url, file, withKey }) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  return {
    curl: curl(url, file.name, type, withKey),
    fetch: javascript(url, type, withKey),
    Python: python(url, file.name, type, withKey),
  };
}

function curl(url, name, type, withKey) {
  const key = withKey ? ['-H "X-API-Key: $API_KEY"'] : [];
  const parts = [`--data-binary ${quoted(`@${name}`)}`, `-H ${quoted(`Content-Type: ${type}`)}`];
  return ["curl -s", ...parts, ...key, quoted(url)].join(" \\\n  ");
}

function javascript(url, type, withKey) {
  const key = withKey ? ', "X-API-Key": apiKey' : "";
  return `const file = document.querySelector("input[type=file]").files[0];
const reply = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": ${JSON.stringify(type)}${key} },
  body: file,
});
console.log(await reply.json());`;
}

function python(url, name, type, withKey) {
  const key = withKey ? ', "X-API-Key": os.environ["API_KEY"]' : "";
  return `${withKey ? "import os\n\n" : ""}import requests

with open(${JSON.stringify(name)}, "rb") as picture:
    reply = requests.post(
        ${JSON.stringify(url)},
        data=picture,
        headers={"Content-Type": ${JSON.stringify(type)}${key}},
        timeout=30,
    )
print(reply.json())`;
}

/** Quote a word for a POSIX shell. */
function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
