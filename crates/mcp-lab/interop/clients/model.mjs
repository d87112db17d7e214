// A model that asks for one tool after the other and remembers what it is handed: in the words of
// three vendors.

import { createServer } from 'node:http';

const END = 'done';

/// Per vendor: the tools that a request offers, what it hands on of their results, and how the model
/// asks for a tool, or ends.
const VENDORS = {
  anthropic: {
    path: /\/v1\/messages(\?|$)/,
    tools: (body) => (body.tools ?? []).map((tool) => ({ name: tool.name })),
    results(body) {
      const blocks = body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
      return blocks.filter((block) => block.type === 'tool_result').map((block) => block.content);
    },
    events(tool, id, input) {
      const block = tool
        ? { type: 'tool_use', id, name: tool.name, input: {} } : { type: 'text', text: '' };
      const delta = tool
        ? { type: 'input_json_delta', partial_json: JSON.stringify(input) } : { type: 'text_delta', text: END };
      const usage = { input_tokens: 1, output_tokens: 1 };
      const message = {
        id: 'msg_1', type: 'message', role: 'assistant', model: 'a-model', content: [],
        stop_reason: null, stop_sequence: null, usage,
      };
      return [
        { type: 'message_start', message },
        { type: 'content_block_start', index: 0, content_block: block },
        { type: 'content_block_delta', index: 0, delta },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: tool ? 'tool_use' : 'end_turn', stop_sequence: null }, usage },
        { type: 'message_stop' },
      ];
    },
  },
  openai: {
    path: /\/responses$/,
    tools: (body) => (body.tools ?? []).flatMap((tool) => (
      tool.type === 'namespace' ? tool.tools.map(({ name }) => ({ name, namespace: tool.name })) : [tool])),
    results: (body) => body.input.filter((item) => item.type === 'function_call_output').map((item) => item.output),
    events(tool, id) {
      const item = tool
        ? { type: 'function_call', call_id: id, name: tool.name, namespace: tool.namespace, arguments: '{}' }
        : { type: 'message', role: 'assistant', id: 'msg_1', content: [{ type: 'output_text', text: END }] };
      const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
      return [
        { type: 'response.created', response: { id: 'resp_1' } },
        { type: 'response.output_item.done', output_index: 0, item },
        { type: 'response.completed', response: { id: 'resp_1', usage } },
      ];
    },
  },
  google: {
    path: /:streamGenerateContent/,
    tools: (body) => (body.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? []),
    results(body) {
      const parts = body.contents.flatMap((content) => content.parts ?? []);
      return parts.filter((part) => part.functionResponse).map((part) => part.functionResponse.response);
    },
    events(tool) {
      const part = tool ? { functionCall: { name: tool.name, args: {} } } : { text: END };
      const candidate = { content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 };
      return [{ candidates: [candidate], usageMetadata: { totalTokenCount: 2 } }];
    },
  },
};

function inputOf(wanted, handed) {
  const input = wanted?.input ?? {};
  return typeof input === 'function' ? input(handed) : input;
}

/// Asks for the tools whose names end so, one after the other; one of Anthropic's may name its input, or
/// make it of what was handed before.
/// `handed` is what came of them, each as the vendor's API has it, `said` all that the model was told with
/// the last request, and `missed` how often it was not offered what it would ask for.
export async function startModel(vendor, wanted) {
  const { path, tools, results, events } = VENDORS[vendor];
  const model = { handed: [], said: '', missed: 0 };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    if (request.method !== 'POST' || !path.test(request.url)) {
      response.writeHead(404).end();
      return;
    }
    const body = JSON.parse(text);
    const handed = results(body);
    if (handed.length > model.handed.length) model.handed = handed;
    model.said = JSON.stringify(body.messages);
    const next = wanted[handed.length];
    const name = next?.name ?? next;
    const tool = name && tools(body).find((offered) => offered.name?.endsWith(name));
    if (name && !tool) model.missed += 1;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of events(tool, `call_${handed.length}`, inputOf(next, handed))) {
      if (event.type) response.write(`event: ${event.type}\n`);
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  model.url = `http://127.0.0.1:${server.address().port}`;
  model.stop = () => { server.closeAllConnections(); server.close(); };
  return model;
}
