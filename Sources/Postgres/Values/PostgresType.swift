/// The OID of a built-in type (`src/include/catalog/pg_type.dat`).
package struct PostgresType: RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }
  private init(_ rawValue: UInt32) { self.rawValue = rawValue }

  package static let bool = Self(16)
  package static let bytea = Self(17)
  package static let name = Self(19)
  package static let int8 = Self(20)
  package static let int2 = Self(21)
  package static let int4 = Self(23)
  package static let text = Self(25)
  package static let json = Self(114)
  package static let float4 = Self(700)
  package static let float8 = Self(701)
  package static let unknown = Self(705)
  package static let bpchar = Self(1042)
  package static let varchar = Self(1043)
  package static let date = Self(1082)
  package static let time = Self(1083)
  package static let timestamptz = Self(1184)
  package static let interval = Self(1186)
  package static let numeric = Self(1700)
  package static let void = Self(2278)
  package static let uuid = Self(2950)
  package static let jsonb = Self(3802)

  package static let boolArray = Self(1000)
  package static let byteaArray = Self(1001)
  package static let int2Array = Self(1005)
  package static let int4Array = Self(1007)
  package static let textArray = Self(1009)
  package static let int8Array = Self(1016)
  package static let float4Array = Self(1021)
  package static let float8Array = Self(1022)
  package static let dateArray = Self(1182)
  package static let timeArray = Self(1183)
  package static let timestamptzArray = Self(1185)
  package static let intervalArray = Self(1187)
  package static let numericArray = Self(1231)
  package static let uuidArray = Self(2951)
  package static let jsonbArray = Self(3807)

  package static let int4range = Self(3904)
  package static let numrange = Self(3906)
  package static let tstzrange = Self(3910)
  package static let daterange = Self(3912)
  package static let int8range = Self(3926)

  package static let int4rangeArray = Self(3905)
  package static let numrangeArray = Self(3907)
  package static let tstzrangeArray = Self(3911)
  package static let daterangeArray = Self(3913)
  package static let int8rangeArray = Self(3927)
}

extension PostgresType: CustomStringConvertible {
  package var description: String { Self.names[self] ?? "type \(rawValue)" }

  private static let names: [PostgresType: String] = [
    .bool: "bool", .bytea: "bytea", .name: "name", .int8: "int8", .int2: "int2", .int4: "int4",
    .text: "text", .json: "json", .float4: "float4", .float8: "float8", .unknown: "unknown",
    .bpchar: "bpchar",
    .varchar: "varchar", .date: "date", .time: "time", .timestamptz: "timestamptz",
    .interval: "interval", .numeric: "numeric", .void: "void", .uuid: "uuid", .jsonb: "jsonb",
    .boolArray: "bool[]", .byteaArray: "bytea[]", .int2Array: "int2[]", .int4Array: "int4[]",
    .textArray: "text[]", .int8Array: "int8[]", .float4Array: "float4[]", .float8Array: "float8[]",
    .dateArray: "date[]",
    .timeArray: "time[]", .timestamptzArray: "timestamptz[]", .intervalArray: "interval[]",
    .numericArray: "numeric[]", .uuidArray: "uuid[]", .jsonbArray: "jsonb[]",
    .int4range: "int4range", .numrange: "numrange", .tstzrange: "tstzrange",
    .daterange: "daterange", .int8range: "int8range",
    .int4rangeArray: "int4range[]", .numrangeArray: "numrange[]", .tstzrangeArray: "tstzrange[]",
    .daterangeArray: "daterange[]", .int8rangeArray: "int8range[]",
  ]
}
