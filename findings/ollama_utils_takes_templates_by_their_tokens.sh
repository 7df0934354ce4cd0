#!/usr/bin/env bash
# @huggingface/ollama-utils 0.0.18 (npm), Node 18 or newer. It is what the Hub makes Ollama models of GGUFs with
# (`ollama run hf.co/owner/repo`).
#
# A chat template is replaced by a Go template from a list: by its first 128 characters, else by the set of its
# special tokens alone, whatever it does with them. A template that writes other roles, puts the system text
# at the end or opens a think block is a stranger's then. And a comment cannot keep it from that, not
# even one that contains another token: then the template is converted from three renderings.
#
# Why it surprises: the README calls it conversion to the Go format. The trained template is in the GGUF, and
# Ollama itself renders it since 0.30, but not beside a Go template.
# Pinned: @huggingface/ollama-utils==0.0.18, @huggingface/jinja==0.5.11, by npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @huggingface/ollama-utils@0.0.18 @huggingface/jinja@0.5.11 >/dev/null
cat > ask.js <<'JS'
const { convertGGUFTemplateToOllama: convert } = require("@huggingface/ollama-utils");
const trained =
  "{# Trained by me #}{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role | upper }}: " +
  "{{ m.content }}<|im_end|>{% endif %}{% endfor %}{% if messages[0].role == 'system' %}" +
  "({{ messages[0].content }}){% endif %}{% if add_generation_prompt %}<|im_start|>BOT:{% endif %}";
const found = convert({ chat_template: trained });
console.log("taken for the template of", found.model);
console.log(JSON.stringify(found.ollama.template).slice(0, 160));
if (found.ollama.template.includes("BOT:")) process.exit(1);
const apart = convert({ chat_template: trained + "{# <|none|> #}" });
console.log("with another token in a comment:", apart.model);
if (!apart.ollama.template) process.exit(1);
JS
node ask.js
