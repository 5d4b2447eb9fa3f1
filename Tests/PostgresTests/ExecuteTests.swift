import NIOCore
import Testing

@testable import Postgres

private struct Double_: Statement {
  static let name = "Double"
  static let sql = "SELECT $1 * 2"
  static let isIdempotent = true
  var number: Int64
  func bind(into bindings: inout Bindings) { bindings.append(number) }
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

@Suite("Statements on shared connections")
struct ExecuteTests {
  @Test("Many callers at once each get their own answer")
  func manyCallers() async throws {
    try await TestDatabase.withClient { client in
      try await withThrowingTaskGroup { group in
        for number in 0..<2000 as Range<Int64> {
          group.addTask {
            let rows = try await client.execute(Double_(number: number), tenant: nil)
            #expect(rows == [number * 2])
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
