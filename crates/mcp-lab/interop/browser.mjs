// The person at the browser: follows redirects, keeps cookies, fills in the forms it is shown.

/** Opens a page as this subject and returns where the last redirect leads outside these origins. */
export async function browse(start, subject, ...origins) {
  const jar = new Map();
  let next = { url: new URL(start), form: null };
  for (let page = 0; page < 20; page += 1) {
    const answer = await visit(next, jar);
    const location = answer.headers.get('location');
    if (location) {
      const url = new URL(location, next.url);
      if (!origins.includes(url.origin)) return url.href;
      next = { url, form: null };
    } else {
      const html = await answer.text();
      if (answer.status !== 200) throw new Error(`the page ${next.url.pathname} says ${answer.status}: ${title(html)}`);
      const form = formOf(html, subject);
      if (!form) return title(html);
      next = { url: new URL(form.action, next.url), form: form.fields };
    }
  }
  throw new Error('twenty pages, and still no way back to the client');
}

async function visit({ url, form }, jar) {
  const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
  const answer = await fetch(url, {
    method: form ? 'POST' : 'GET', body: form, headers: { cookie }, redirect: 'manual',
  });
  for (const line of answer.headers.getSetCookie()) {
    const [pair] = line.split(';');
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    if (value) jar.set(name, value);
    else jar.delete(name);
  }
  return answer;
}

/** The page's form with its hidden fields, and what a person would type. */
function formOf(html, subject) {
  const [, action, inside] = /<form[^>]*action="([^"]+)"[^>]*>([\s\S]*?)<\/form>/.exec(html) ?? [];
  if (!action) return null;
  const fields = new URLSearchParams();
  for (const [input] of inside.matchAll(/<input[^>]*>/g)) {
    const [, name] = /name="([^"]+)"/.exec(input) ?? [];
    const [, value = ''] = /value="([^"]*)"/.exec(input) ?? [];
    if (name) fields.set(name, value);
  }
  // Of several buttons the first is the one that goes on.
  const [, button, value] = /<button[^>]* name="([^"]+)" value="([^"]*)"/.exec(inside) ?? [];
  if (button) fields.set(button, value);
  if (fields.has('login')) fields.set('login', subject);
  if (fields.has('password')) fields.set('password', 'anything');
  return { action: action.replaceAll('&amp;', '&'), fields };
}

function title(html) {
  const [, text = html.slice(0, 200)] = /<h1[^>]*>([\s\S]*?)<\/h1>/.exec(html) ?? [];
  return text.trim();
}
