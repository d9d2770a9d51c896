#!/bin/bash
# Seed 001 (AI Gateway), "Example 2: Chat with Gemma", as it stands there.

# Get token
TOKEN=$(curl -s -X POST "http://localhost:8080/auth/token" \
  -d "username=admin&password=admin" | \
  python3 -c "import sys, json; print(json.load(sys.stdin)['access_token'])")

# Chat
curl -X POST "http://localhost:8080/api/chat" \
  -H "Authorization: Bearer $TOKEN" \
  -H "X-Client-ID: my_chat_app" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "gemma-3-4b-it",
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "Explain quantum computing in simple terms."}
    ],
    "max_tokens": 500,
    "temperature": 0.7
  }'
