internal import FoundationEssentials

/// Payloads as JSON, and back.
enum Payload {
  private static let decoder = JSONDecoder()

  static func text(of value: some Encodable) throws -> String {
    String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
  }

  static func decode<Value: Decodable>(_: Value.Type, _ text: String) throws -> Value {
    try decoder.decode(Value.self, from: Data(text.utf8))
  }
}
