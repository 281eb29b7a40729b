"""LIFT by a model that a server answers for: any endpoint that speaks OpenAI's interface (vLLM, Ollama, llama.cpp)."""
