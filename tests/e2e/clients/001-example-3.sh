#!/bin/bash
# Seed 001 (AI Gateway), "Example 3: Monitor Queue Status", as it stands there.

TOKEN="YOUR_TOKEN"

while true; do
  clear
  echo "=== Queue Status ==="
  curl -s "http://localhost:8080/admin/queue/gemma" \
    -H "Authorization: Bearer $TOKEN" | python3 -m json.tool
  
  echo ""
  echo "=== DeepSeek Queue ==="
  curl -s "http://localhost:8080/admin/queue/deepseek" \
    -H "Authorization: Bearer $TOKEN" | python3 -m json.tool
  
  sleep 5
done
