import Foundation
import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import Postgres
@testable import StoreSvc

/// The whole path, from files to CSV, against ranges and multiranges in Postgres.
@Suite("SQL oracle")
struct SQLOracleTests {
  @Test(
    "Every figure of a random world is what Postgres finds with range_agg and lead()", arguments: 3000..<3017)
  func agrees(seed: UInt64) async throws {
    let world = try World(seed: seed, storeCount: 25, grid: 1)
    try await TestHouse.with { house in
      _ = try await house.importFile(.timezones, world.timezonesCSV)
      _ = try await house.importFile(.hours, world.hoursCSV)
      let polls = try await house.importFile(.polls, world.pollsCSV)
      #expect(polls.rejected == 0)
      let asOf = Timestamp(world.asOf.timestamp)
      let report = try await house.report(asOf: asOf)
      let lines = try await house.download(report.reportId).body.split(separator: "\n").dropFirst()
      #expect(lines.count == world.stores.count)
      let figures = try await house.oracle(world)
      for (line, figure) in zip(lines, figures) { #expect(line == figure, "\(world.zone) as of \(asOf)") }
    }
  }
}

extension World {
  /// Ids of one length, so that their order is that of their numbers.
  static func id(_ index: Int) -> String { "store-\(100 + index)" }

  var timezonesCSV: String {
    stores.indices.reduce(into: "store_id,timezone_str\n") { $0 += "\(Self.id($1)),\(zone)\n" }
  }

  var hoursCSV: String {
    stores.enumerated().reduce(into: "store_id,day,start_time_local,end_time_local\n") { text, store in
      for hours in store.element.hours {
        text += "\(Self.id(store.offset)),\(hours.weekday),\(StoredHours.text(second: hours.start)),"
        text += "\(StoredHours.text(second: hours.end))\n"
      }
    }
  }

  var pollsCSV: String {
    stores.enumerated().reduce(into: "store_id,status,timestamp_utc\n") { text, store in
      for poll in store.element.polls {
        text += "\(Self.id(store.offset)),\(poll.isActive ? "active" : "inactive"),\(poll.at.timestamp)\n"
      }
    }
  }
}

extension TestHouse {
  /// The lines of the report as `uptime.sql` has them.
  func oracle(_ world: World) async throws -> [String] {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Oracles/uptime.sql").standardized
    let sql = try String(contentsOf: file, encoding: .utf8)
    return try await superuser.transaction(tenant: nil) { transaction in
      try await transaction.script(world.tablesForOracle)
      let windows = ReportWindows(asOf: world.asOf)
      var columns: [[WindowFigures]] = []
      for start in [windows.hourStart, windows.dayStart, windows.weekStart] {
        columns.append(
          try await transaction.execute(
            OracleQuery(start: start.timestamp, end: world.asOf.timestamp), sql: sql))
      }
      return world.stores.indices.map { index in
        let row = columns.map { $0[index] }
        for figures in row { #expect(figures.open == figures.up + figures.down + figures.unknown) }
        var csv = ReportCSV(rowCount: 0)
        let header = csv.bytes.count
        for side in [\WindowFigures.up, \.down] {
          for (figures, unit) in zip(row, [60_000_000, 3_600_000_000, 3_600_000_000] as [Int64]) {
            csv.appendHundredths(of: figures[keyPath: side], unit: unit)
            csv.appendComma()
          }
        }
        let text = String(decoding: csv.bytes[header...].dropLast(), as: UTF8.self)
        return "\(World.id(index)),\(text)"
      }
    }
  }
}

struct WindowFigures: Sendable {
  var open: Int64
  var up: Int64
  var down: Int64
  var unknown: Int64
}

private struct OracleQuery: Statement {
  static let name = "UptimeOracle"
  static let sql = ""
  var start: PostgresTimestamp
  var end: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(start)
    bindings.append(end)
    bindings.append(end)
  }

  static func decode(_ row: inout RowReader) throws -> WindowFigures {
    _ = try row.next(Int32.self)
    return WindowFigures(
      open: try row.next(), up: try row.next(), down: try row.next(), unknown: try row.next())
  }
}

extension World {
  /// Compiling the oracle's query to machine code takes a second; running it takes none.
  fileprivate var tablesForOracle: String {
    var sql = """
      SET LOCAL jit = off;
      CREATE TEMPORARY TABLE oracle_stores (store int, zone text, always_open bool) ON COMMIT DROP;
      CREATE TEMPORARY TABLE oracle_hours (store int, weekday int, opens interval, closes interval) ON COMMIT DROP;
      CREATE TEMPORARY TABLE oracle_polls (store int, at timestamptz, active bool) ON COMMIT DROP;

      """
    for (index, store) in stores.enumerated() {
      sql += "INSERT INTO oracle_stores VALUES (\(index), '\(zone)', \(store.hours.isEmpty));\n"
      for hours in store.hours {
        // The rules of closing once more, in other words than the engine's.
        let isMidnight = [86_399, 86_340].contains(hours.end)
        let closes = isMidnight ? 86_400 : hours.end <= hours.start ? hours.end + 86_400 : hours.end
        sql += """
          INSERT INTO oracle_hours VALUES (\(index), \(hours.weekday), \
          make_interval(secs => \(hours.start)), make_interval(secs => \(closes)));

          """
      }
      for poll in store.settledPolls {
        sql += "INSERT INTO oracle_polls VALUES (\(index), '\(poll.at.timestamp)', \(poll.isActive));\n"
      }
    }
    return sql
  }
}
