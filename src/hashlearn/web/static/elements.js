// Elements of the page, made without HTML in strings: whatever items hold stays text.

/** Make an element. Attributes that are false or null are left out; on... are listeners. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Write a whole number with its thousands apart. */
export const count = (n) => n.toLocaleString("en");

/** Write a number with what it counts. */
export const counted = (n, one, several = `${one}s`) => `${count(n)} ${n === 1 ? one : several}`;
