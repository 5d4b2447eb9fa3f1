/// A `COPY … FROM STDIN` or `COPY … TO STDOUT` command.
///
/// COPY takes no parameters, so values are interpolated, each as a literal that cannot be anything else:
/// `"COPY (SELECT name FROM store.stores WHERE created_at < \(now)) TO STDOUT (FORMAT csv)"`.
package struct CopyCommand: ExpressibleByStringInterpolation, Sendable {
  package let sql: String

  package init(stringLiteral sql: String) { self.sql = sql }
  package init(stringInterpolation: StringInterpolation) { sql = stringInterpolation.sql }

  package struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var sql = ""

    package init(literalCapacity: Int, interpolationCount: Int) { sql.reserveCapacity(literalCapacity) }

    package mutating func appendLiteral(_ literal: String) { sql += literal }

    package mutating func appendInterpolation(_ number: some FixedWidthInteger) { sql += "(\(number))" }

    package mutating func appendInterpolation(_ uuid: UUID) { sql += "'\(uuid)'::uuid" }

    package mutating func appendInterpolation(_ timestamp: PostgresTimestamp) {
      switch timestamp {
      case .infinity, .negativeInfinity: sql += "'\(timestamp)'::timestamptz"
      default:
        // Exact over the whole range, and free of what date formats do to years before 1 and after 9999.
        let (days, rest) = timestamp.microseconds.quotientAndRemainder(dividingBy: 86_400_000_000)
        sql +=
          "('epoch'::timestamptz + make_interval(hours => \(days * 24)) + interval '\(rest) microseconds')"
      }
    }

    package mutating func appendInterpolation(_ text: String) {
      // With the E in front backslashes mean the same whatever `standard_conforming_strings` says.
      sql += " E'"
      for character in text.unicodeScalars {
        if character == "'" || character == "\\" { sql.unicodeScalars.append(character) }
        sql.unicodeScalars.append(character)
      }
      sql += "'"
    }

    /// SQL as it is. Never anything a caller of the service supplied.
    package mutating func appendInterpolation(unescaped sql: String) { self.sql += sql }
  }
}
