# Seed 001 (AI Gateway), "Python SDK Example", as it stands there.
import httpx
import base64

class AIGatewayClient:
    def __init__(self, base_url: str, username: str, password: str):
        self.base_url = base_url
        self.token = self._get_token(username, password)
        self.headers = {
            "Authorization": f"Bearer {self.token}",
            "X-Client-ID": "python_sdk"
        }
    
    def _get_token(self, username: str, password: str) -> str:
        response = httpx.post(
            f"{self.base_url}/auth/token",
            data={"username": username, "password": password}
        )
        return response.json()["access_token"]
    
    def chat(self, messages: list, priority: str = "normal") -> dict:
        headers = {**self.headers, "X-Priority": priority}
        response = httpx.post(
            f"{self.base_url}/api/chat",
            headers=headers,
            json={
                "model": "gemma-3-4b-it",
                "messages": messages,
                "max_tokens": 500
            }
        )
        return response.json()
    
    def ocr(self, image_path: str, resolution: str = "large") -> dict:
        # Read and encode image
        with open(image_path, "rb") as f:
            image_data = base64.b64encode(f.read()).decode()
        
        headers = {**self.headers, "X-Resolution": resolution}
        response = httpx.post(
            f"{self.base_url}/api/ocr",
            headers=headers,
            json={
                "model": "deepseek-ai/DeepSeek-OCR",
                "messages": [{
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{image_data}"}},
                        {"type": "text", "text": "Free OCR."}
                    ]
                }],
                "max_tokens": 2048
            }
        )
        return response.json()

# Usage
client = AIGatewayClient("http://localhost:8080", "admin", "admin")

# Chat
result = client.chat([
    {"role": "user", "content": "Hello!"}
])

# OCR
result = client.ocr("document.jpg", resolution="gundam")
