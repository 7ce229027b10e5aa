// The reference: the least that a JavaScript worker can do in front of an origin.
export default { fetch: (request) => fetch(request) };
