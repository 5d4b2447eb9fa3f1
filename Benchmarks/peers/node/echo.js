"use strict";

// The two calls of ./dev bench edge, by Node's own HTTP server and JSON alone: no routes, no rules, nobody behind it.

const http = require("node:http");

const store = {
  storeId: "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f",
  name: "Corner Bakery",
  timezone: "America/Chicago",
  externalId: "8419537941919820732",
  createdAt: "2025-06-14T10:00:00.479220Z",
  updatedAt: "2025-06-14T10:00:00Z",
  businessHours: Array.from({ length: 7 }, (_, day) => ({ dayOfWeek: day, startTime: "09:00:00", endTime: "17:30:00" })),
};

function answer(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

const server = http.createServer((request, response) => {
  if (request.method === "GET") return answer(response, 200, store);
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const poll = JSON.parse(Buffer.concat(chunks).toString());
    answer(response, 201, { storeId: store.storeId, ...poll, outcome: "recorded" });
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
