#!/bin/bash
# Seed 001 (AI Gateway), "Example 1: OCR a Document", as it stands there.

# Get token
TOKEN=$(curl -s -X POST "http://localhost:8080/auth/token" \
  -d "username=admin&password=admin" | \
  python3 -c "import sys, json; print(json.load(sys.stdin)['access_token'])")

# Encode image
IMAGE_BASE64=$(base64 -w 0 document.jpg)

# Process OCR
curl -X POST "http://localhost:8080/api/ocr" \
  -H "Authorization: Bearer $TOKEN" \
  -H "X-Client-ID: my_ocr_app" \
  -H "X-Resolution: gundam" \
  -H "Content-Type: application/json" \
  -d "{
    \"model\": \"deepseek-ai/DeepSeek-OCR\",
    \"messages\": [{
      \"role\": \"user\",
      \"content\": [
        {\"type\": \"image_url\", \"image_url\": {\"url\": \"data:image/jpeg;base64,$IMAGE_BASE64\"}},
        {\"type\": \"text\", \"text\": \"<|grounding|>Convert the document to markdown.\"}
      ]
    }],
    \"max_tokens\": 4096
  }"
