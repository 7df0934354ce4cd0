"""The merged model as safetensors."""
