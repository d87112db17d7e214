// Stands in for the program that opens a browser: lets the person at the browser of this run go there,
// and hands the client what that came back with. A person is slower: a client that does not listen yet
// is waited for.
//
// Usage: node open.mjs BROWSER URL

/** Fetches it as soon as somebody listens there; gives up with the client, who waits a minute. */
async function handOver(back, patience = 300) {
  try {
    await fetch(back);
  } catch (error) {
    if (patience === 0) throw error;
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    await handOver(back, patience - 1);
  }
}

const [browser, url] = process.argv.slice(2);
const answer = await fetch(browser, { method: 'POST', body: url });
const back = await answer.text();
if (!answer.ok) throw new Error(back);
await handOver(back);
