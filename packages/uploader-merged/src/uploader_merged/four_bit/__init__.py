"""The merged model in four bits."""
