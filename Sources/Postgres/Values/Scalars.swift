package import NIOCore

extension Int16: PostgresValue {
  package static var postgresType: PostgresType { .int2 }
  package func encode(into writer: inout WireWriter) { writer.write(self) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Int16 { try reader.read() }
}

extension Int32: PostgresValue {
  package static var postgresType: PostgresType { .int4 }
  package func encode(into writer: inout WireWriter) { writer.write(self) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Int32 { try reader.read() }
}

extension Int64: PostgresValue {
  package static var postgresType: PostgresType { .int8 }
  package func encode(into writer: inout WireWriter) { writer.write(self) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Int64 { try reader.read() }
}

extension Int: PostgresValue {
  package static var postgresType: PostgresType { .int8 }
  package func encode(into writer: inout WireWriter) { writer.write(Int64(self)) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Int {
    Int(try reader.read(Int64.self))
  }
}

extension Float: PostgresValue {
  package static var postgresType: PostgresType { .float4 }
  package func encode(into writer: inout WireWriter) { writer.write(bitPattern) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Float {
    Float(bitPattern: try reader.read())
  }
}

extension Double: PostgresValue {
  package static var postgresType: PostgresType { .float8 }
  package func encode(into writer: inout WireWriter) { writer.write(bitPattern) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Double {
    Double(bitPattern: try reader.read())
  }
}

extension Bool: PostgresValue {
  package static var postgresType: PostgresType { .bool }
  package func encode(into writer: inout WireWriter) { writer.write(self ? 1 : 0 as UInt8) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Bool {
    switch try reader.read(UInt8.self) {
    case 0: false
    case 1: true
    case let other: throw WireError("is \(other), not a bool")
    }
  }
}

/// Postgres stores no NUL in text: such a string is refused by the server with SQLSTATE 22021.
extension String: PostgresValue {
  package static var postgresType: PostgresType { .text }
  package static func accepts(_ type: PostgresType) -> Bool {
    type == .text || type == .varchar || type == .bpchar || type == .name
  }
  package func encode(into writer: inout WireWriter) { writer.write(contentsOf: utf8) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> String {
    guard let string = String(validating: reader.readRemaining(), as: UTF8.self) else {
      throw WireError("is not UTF-8")
    }
    return string
  }
}

extension ByteBuffer: PostgresValue {
  package static var postgresType: PostgresType { .bytea }
  package func encode(into writer: inout WireWriter) { writer.write(contentsOf: readableBytesView) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> ByteBuffer {
    ByteBuffer(bytes: reader.readRemaining())
  }
}

/// A JSON document as its text. Postgres validates it.
package struct PostgresJSON: PostgresValue, Hashable {
  package var text: String
  package init(_ text: String) { self.text = text }

  package static var postgresType: PostgresType { .jsonb }
  package static func accepts(_ type: PostgresType) -> Bool { type == .jsonb }

  /// `jsonb` puts a version, always 1, before the text.
  package func encode(into writer: inout WireWriter) {
    writer.write(1 as UInt8)
    writer.write(contentsOf: text.utf8)
  }

  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresJSON {
    let version = try reader.read(UInt8.self)
    guard version == 1 else { throw WireError("is jsonb of version \(version)") }
    return PostgresJSON(try String.decode(&reader))
  }
}

/// The result of a function that returns nothing, such as `pg_advisory_lock`.
package struct PostgresVoid: PostgresDecodable, Hashable {
  package init() {}
  package static var postgresType: PostgresType { .void }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresVoid {
    _ = reader.readRemaining()
    return PostgresVoid()
  }
}
