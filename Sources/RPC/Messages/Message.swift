package import NIOCore

/// A protobuf message as a Swift value. Generated types conform; see `MainstreetAPI`.
package protocol Message: Sendable {
  /// Full protobuf name, e.g. `mainstreet.store.v1.Store`.
  static var fullName: String { get }

  /// Decodes all readable bytes. Unknown fields are dropped.
  init(decoding bytes: ByteBuffer) throws(MessageDecodingError)

  /// Appends the wire encoding.
  func encode(into buffer: inout ByteBuffer)

  /// Reports every field that breaks its validation rule; nothing when the message is good.
  func validate(into violations: inout [FieldViolation])
}

extension Message {
  package func validate(into violations: inout [FieldViolation]) {}
}

/// Bytes that are not a message of the expected type.
package struct MessageDecodingError: Error, Hashable {
  package var message: String
  package init(_ message: String) { self.message = message }
}

/// One field that breaks a rule; becomes `google.rpc.BadRequest.FieldViolation` on the wire and
/// an entry of `errors` in a problem body.
package struct FieldViolation: Hashable, Sendable {
  /// Protobuf path, e.g. `polls[3].timestamp`.
  package var field: String
  /// Stable, SCREAMING_SNAKE, e.g. `TOO_LONG`.
  package var code: String
  /// A sentence for people.
  package var message: String

  package init(field: String, code: String, message: String) {
    self.field = field
    self.code = code
    self.message = message
  }
}
