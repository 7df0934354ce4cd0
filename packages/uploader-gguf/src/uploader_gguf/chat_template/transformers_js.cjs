// Renders conversations with the template engine of transformers.js and of pages of the Hub.
// Standard input: a list of {"template", "given": what it sees}; standard output: for each of them
// {"prompt"} or {"error"}.
const { Template } = require("@huggingface/jinja");

const asked = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
const answers = asked.map(({ template, given }) => {
  try {
    return { prompt: new Template(template).render(given) };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
});
console.log(JSON.stringify(answers));
