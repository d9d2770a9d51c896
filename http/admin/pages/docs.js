// Renders the contract. All of its text goes in as text, never as markup.
'use strict';

const element = (name, attributes, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// Follows {"$ref": "#/a/b"} inside the contract.
const resolve = (contract, node) => (node?.$ref === undefined ? node
  : node.$ref.slice(2).split('/').reduce((at, part) => at?.[part], contract) ?? {});

const typeOf = (schema = {}) => [schema.type ?? '', schema.enum ? schema.enum.join(' | ') : '',
  schema.minimum === undefined ? '' : `from ${schema.minimum}`,
  schema.maximum === undefined ? '' : `to ${schema.maximum}`].flat().filter(Boolean).join(' ');

const table = (caption, head, rows) => (rows.length === 0 ? [] : [
  element('h3', {}, caption),
  element('table', {},
    element('thead', {}, element('tr', {}, ...head.map((h) => element('th', {}, h)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {},
      ...row.map((cell) => element('td', {}, cell)))))),
]);

const routeLine = (method, path) => [element('b', {}, method.toUpperCase()), ' ', path];

const section = (contract, path, method, operation) => {
  const parameters = (operation.parameters ?? []).map((one) => resolve(contract, one));
  const schema = operation.requestBody?.content && Object.entries(operation.requestBody.content);
  const fields = (schema ?? []).flatMap(([type, { schema: body }]) => {
    const shape = resolve(contract, body) ?? {};
    return Object.entries(shape.properties ?? {}).map(([name, field]) => [
      element('code', {}, name), typeOf(resolve(contract, field)),
      shape.required?.includes(name) ? 'required' : '', field.description ?? '', type]);
  });
  return element('section', { id: `${method}${path}` },
    element('h2', { class: 'route' }, ...routeLine(method, path)),
    element('p', {}, element('strong', {}, operation.summary ?? '')),
    element('p', {}, operation.description ?? ''),
    ...(operation.security?.length === 0 ? [element('p', {}, 'Open: needs no credential.')] : []),
    ...table('Parameters', ['name', 'in', 'type', ''], parameters.map((one) => [
      element('code', {}, one.name), one.in, typeOf(resolve(contract, one.schema)),
      one.description ?? ''])),
    ...table('Body', ['field', 'type', '', '', 'as'], fields),
    ...table('Answers', ['status', ''], Object.entries(operation.responses ?? {}).map(
      ([status, answer]) => [element('code', {}, status),
        resolve(contract, answer).description ?? ''])));
};

const show = (contract) => {
  document.getElementById('title').textContent = `${contract.info.title} ${contract.info.version}`;
  document.getElementById('about').textContent = contract.info.description;
  const all = Object.entries(contract.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => [path, method, operation]));
  document.getElementById('routes').replaceChildren(element('ul', {}, ...all.map(
    ([path, method]) => element('li', { class: 'route' },
      element('a', { href: `#${method}${path}` }, ...routeLine(method, path))))));
  document.getElementById('details').replaceChildren(
    ...all.map(([path, method, operation]) => section(contract, path, method, operation)));
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))
    ?.scrollIntoView();
};

fetch('/openapi.json').then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById('details').textContent = `The contract cannot be read: ${error.message}`;
});
