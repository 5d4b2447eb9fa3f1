/// A type that ranges are made of.
package protocol PostgresRangeBound: PostgresValue, Hashable {
  static var postgresRangeType: PostgresType { get }
  static var postgresRangeArrayType: PostgresType { get }
}

extension Int32: PostgresRangeBound {
  package static var postgresRangeType: PostgresType { .int4range }
  package static var postgresRangeArrayType: PostgresType { .int4rangeArray }
}

extension Int64: PostgresRangeBound {
  package static var postgresRangeType: PostgresType { .int8range }
  package static var postgresRangeArrayType: PostgresType { .int8rangeArray }
}

extension PostgresDate: PostgresRangeBound {
  package static var postgresRangeType: PostgresType { .daterange }
  package static var postgresRangeArrayType: PostgresType { .daterangeArray }
}

extension PostgresDecimal: PostgresRangeBound {
  package static var postgresRangeType: PostgresType { .numrange }
  package static var postgresRangeArrayType: PostgresType { .numrangeArray }
}

extension PostgresTimestamp: PostgresRangeBound {
  package static var postgresRangeType: PostgresType { .tstzrange }
  package static var postgresRangeArrayType: PostgresType { .tstzrangeArray }
}

/// A range. Postgres brings ranges of whole numbers and days into the form `[lower, upper)`.
package enum PostgresRange<Bound: PostgresRangeBound>: Hashable, Sendable {
  case empty
  case from(Edge, to: Edge)

  package enum Edge: Hashable, Sendable {
    case unbounded
    case included(Bound)
    case excluded(Bound)
  }

  /// `[lower, upper)`, the form this project uses for time.
  package init(_ lower: Bound, until upper: Bound) {
    self = .from(.included(lower), to: .excluded(upper))
  }
}

extension PostgresRange: PostgresValue {
  package static var postgresType: PostgresType { Bound.postgresRangeType }

  /// Flags of `src/include/utils/rangetypes.h`.
  private static var isEmptyFlag: UInt8 { 0x01 }
  private static var lowerIncluded: UInt8 { 0x02 }
  private static var upperIncluded: UInt8 { 0x04 }
  private static var lowerUnbounded: UInt8 { 0x08 }
  private static var upperUnbounded: UInt8 { 0x10 }

  package func encode(into writer: inout WireWriter) {
    guard case .from(let lower, let upper) = self else { return writer.write(Self.isEmptyFlag) }
    writer.write(
      flags(lower, included: Self.lowerIncluded, unbounded: Self.lowerUnbounded)
        | flags(upper, included: Self.upperIncluded, unbounded: Self.upperUnbounded))
    for edge in [lower, upper] {
      switch edge {
      case .unbounded: break
      case .included(let bound), .excluded(let bound): writer.writeValue(bound)
      }
    }
  }

  private func flags(_ edge: Edge, included: UInt8, unbounded: UInt8) -> UInt8 {
    switch edge {
    case .unbounded: unbounded
    case .included: included
    case .excluded: 0
    }
  }

  package static func decode(_ reader: inout WireReader) throws(WireError) -> PostgresRange {
    let flags = try reader.read(UInt8.self)
    guard flags & isEmptyFlag == 0 else { return .empty }
    func edge(_ included: UInt8, _ unbounded: UInt8) throws(WireError) -> Edge {
      guard flags & unbounded == 0 else { return .unbounded }
      let bound = try reader.readValue(Bound.self)
      return flags & included == 0 ? .excluded(bound) : .included(bound)
    }
    let lower = try edge(lowerIncluded, lowerUnbounded)
    return .from(lower, to: try edge(upperIncluded, upperUnbounded))
  }
}
