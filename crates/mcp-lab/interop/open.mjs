// Stands in for the program that opens a browser: lets the person at the browser of this run go there,
// and hands the client what that came back with.
//
// Usage: node open.mjs BROWSER URL

const [browser, url] = process.argv.slice(2);
const answer = await fetch(browser, { method: 'POST', body: url });
const back = await answer.text();
if (!answer.ok) throw new Error(back);
await fetch(back);
