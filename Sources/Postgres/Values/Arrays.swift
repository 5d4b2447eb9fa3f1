package import NIOCore

/// A type that arrays can hold.
package protocol PostgresArrayElement: PostgresValue {
  static var postgresArrayType: PostgresType { get }
}

extension Bool: PostgresArrayElement { package static var postgresArrayType: PostgresType { .boolArray } }
extension Int16: PostgresArrayElement { package static var postgresArrayType: PostgresType { .int2Array } }
extension Int32: PostgresArrayElement { package static var postgresArrayType: PostgresType { .int4Array } }
extension Int64: PostgresArrayElement { package static var postgresArrayType: PostgresType { .int8Array } }
extension Int: PostgresArrayElement { package static var postgresArrayType: PostgresType { .int8Array } }
extension Float: PostgresArrayElement { package static var postgresArrayType: PostgresType { .float4Array } }
extension Double: PostgresArrayElement { package static var postgresArrayType: PostgresType { .float8Array } }
extension String: PostgresArrayElement { package static var postgresArrayType: PostgresType { .textArray } }
extension UUID: PostgresArrayElement { package static var postgresArrayType: PostgresType { .uuidArray } }
extension ByteBuffer: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .byteaArray }
}
extension PostgresTimestamp: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .timestamptzArray }
}
extension PostgresDate: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .dateArray }
}
extension PostgresTime: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .timeArray }
}
extension PostgresInterval: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .intervalArray }
}
extension PostgresDecimal: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .numericArray }
}
extension PostgresJSON: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { .jsonbArray }
}
extension PostgresRange: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { Bound.postgresRangeArrayType }
}
extension Optional: PostgresArrayElement where Wrapped: PostgresArrayElement {
  package static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }
}

/// A one-dimensional array: dimensions, whether it holds NULLs, element type; then size and lower bound; then
/// the elements. An empty array has no dimension at all.
extension Array: PostgresTyped where Element: PostgresArrayElement {
  package static var postgresType: PostgresType { Element.postgresArrayType }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
  package func encode(into writer: inout WireWriter) {
    writer.write(isEmpty ? 0 : 1 as Int32)
    writer.write(contains { $0.isNull } ? 1 : 0 as Int32)
    writer.write(Element.postgresType.rawValue)
    guard !isEmpty else { return }
    writer.write(Int32(truncatingIfNeeded: count))
    writer.write(1 as Int32)
    for element in self { writer.writeValue(element) }
  }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
  package static func decode(_ reader: inout WireReader) throws(WireError) -> [Element] {
    let dimensions = try reader.read(Int32.self)
    _ = try reader.read(Int32.self)
    let type = PostgresType(rawValue: try reader.read())
    guard Element.accepts(type) else {
      throw WireError("holds elements of \(type), not \(Element.postgresType)")
    }
    guard dimensions > 0 else { return [] }
    guard dimensions == 1 else { throw WireError("has \(dimensions) dimensions") }
    let count = try reader.read(Int32.self)
    _ = try reader.read(Int32.self)
    guard count >= 0, Int(count) * 4 <= reader.count else { throw WireError("ends early") }
    var elements: [Element] = []
    elements.reserveCapacity(Int(count))
    for _ in 0..<count { elements.append(try reader.readValue()) }
    return elements
  }
}
