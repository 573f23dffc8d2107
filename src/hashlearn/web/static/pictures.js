// Pictures that a person gives: kept on this device, and sent when they are searched by.

const LARGEST = 3e6; // characters that are remembered across a reload
const kept = new Map();

/** Take a picture; give its name in addresses. */
export async function take(file) {
  const data = await dataOf(file);
  const name = `${Date.now().toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
  kept.set(name, data);
  try {
    if (data.length < LARGEST) sessionStorage.setItem(`picture ${name}`, data);
  } catch {
    // storage is full or switched off: a reload forgets the picture, and its code stays
  }
  return name;
}

/** Give a picture as a data URL, or null if this device has it no more. */
export function pictureOf(name) {
  if (kept.has(name)) return kept.get(name);
  try {
    return sessionStorage.getItem(`picture ${name}`);
  } catch {
    return null;
  }
}

/** Give what the server takes: the file in base64. */
export const base64Of = (data) => data.slice(data.indexOf(",") + 1);

function dataOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

/** Call back with each picture that is chosen, dropped or pasted anywhere on the page. */
export function listen(input, veil, callback) {
  const give = (files) => {
    const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
    if (file) callback(file);
  };
  input.addEventListener("change", () => {
    give(input.files);
    input.value = ""; // the same file may be chosen again
  });
  let depth = 0; // of elements that the pointer is in
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!holdsFiles(event)) return;
    depth -= 1;
    veil.hidden = depth <= 0;
  });
  addEventListener("dragover", (event) => {
    if (holdsFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    give(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) give(event.clipboardData.files);
  });
}
