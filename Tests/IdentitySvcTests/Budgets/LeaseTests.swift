import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Leasing budgets")
struct LeaseTests {
  private func lease(
    _ requests: [BudgetRequest], holder: String = "edge-1", in house: TestHouse
  ) async throws -> [BudgetLease] {
    try await house.access.leaseBudgets(
      LeaseBudgetsRequest(holder: holder, budgets: requests), options: try await house.edge()
    ).message.leases
  }

  private func ask(_ budget: String = "b", perMinute: UInt32 = 60, wanted: UInt32, returned: UInt32 = 0)
    -> BudgetRequest
  {
    BudgetRequest(budget: budget, perMinute: perMinute, wanted: wanted, returned: returned)
  }

  /// As if so much time had passed.
  private func wait(_ milliseconds: Int, in house: TestHouse) async throws {
    try await house.superuser.run(
      sql: "UPDATE identity.budgets SET updated_at = updated_at - interval '\(milliseconds) milliseconds'")
  }

  @Test("A budget gives what it has, then tells when there will be more")
  func spent() async throws {
    try await TestHouse.with { house in
      var lease = try await lease([ask(wanted: 50)], in: house)[0]
      #expect(lease.granted == 50)
      #expect(lease.remaining == 10)
      #expect(lease.availableAt == nil)
      lease = try await self.lease([ask(wanted: 50)], in: house)[0]
      #expect(lease.granted == 10)
      lease = try await self.lease([ask(wanted: 50)], in: house)[0]
      #expect(lease.granted == 0)
      let (available, end) = (try #require(lease.availableAt), try #require(lease.expiresAt))
      #expect(available.seconds <= end.seconds)
      // One comes back each second.
      try await wait(2000, in: house)
      lease = try await self.lease([ask(wanted: 50)], in: house)[0]
      #expect(lease.granted == 2)
      try await wait(600_000, in: house)
      lease = try await self.lease([ask(wanted: 100)], in: house)[0]
      #expect(lease.granted == 60)
    }
  }

  @Test("What is given back can be had again, and no more than there ever was")
  func returned() async throws {
    try await TestHouse.with { house in
      _ = try await lease([ask(wanted: 60)], in: house)
      #expect(try await lease([ask(wanted: 60, returned: 20)], in: house)[0].granted == 20)
      #expect(try await lease([ask(wanted: 60, returned: 4_000_000_000)], in: house)[0].granted == 60)
    }
  }

  @Test("Answers are in the order of the request; a budget is named once")
  func ordered() async throws {
    try await TestHouse.with { house in
      let leases = try await lease(
        [
          ask("z", perMinute: 5, wanted: 9), ask("a", perMinute: 7, wanted: 2),
          ask("m", perMinute: 3, wanted: 1),
        ],
        in: house)
      #expect(leases.map(\.granted) == [5, 2, 1])
      #expect(leases.map(\.remaining) == [0, 5, 2])
      try await expectReason("VALIDATION_FAILED") {
        try await lease([ask(wanted: 1), ask(wanted: 1)], in: house)
      }
      let many = (0..<1000).map { ask("budget \($0)", perMinute: UInt32($0 + 1), wanted: 2) }
      for _ in 0..<2 { #expect(try await lease(many, in: house).count == 1000) }
    }
  }

  @Test("A budget that becomes smaller has no more than it then allows")
  func smaller() async throws {
    try await TestHouse.with { house in
      _ = try await lease([ask(perMinute: 1000, wanted: 1)], in: house)
      #expect(try await lease([ask(perMinute: 10, wanted: 50)], in: house)[0].granted == 10)
    }
  }

  @Test("Whoever asks at once, all together are given no more than there is")
  func concurrent() async throws {
    try await TestHouse.with { house in
      let edge = try await house.edge()
      let clock = ContinuousClock()
      let began = clock.now
      let granted = try await withThrowingTaskGroup(of: [UInt32].self) { group in
        for index in 0..<100 {
          group.addTask {
            // In different orders, that would wait for each other if it were not the same one inside.
            let names = index.isMultiple(of: 2) ? ["a", "b", "new\(index)"] : ["b", "a", "new\(index)"]
            let answer = try await house.access.leaseBudgets(
              LeaseBudgetsRequest(
                holder: "edge-\(index % 4)", budgets: names.map { ask($0, perMinute: 600, wanted: 17) }),
              options: edge
            ).message.leases
            return index.isMultiple(of: 2)
              ? [answer[0].granted, answer[1].granted] : [answer[1].granted, answer[0].granted]
          }
        }
        return try await group.reduce(into: [0, 0]) { sum, part in
          sum[0] += Int(part[0])
          sum[1] += Int(part[1])
        }
      }
      // Ten come back in a second, which is counted from the first to the last.
      let refilled = Int((clock.now - began) / .seconds(1) * 10) + 1
      for sum in granted {
        #expect(sum >= 600)
        #expect(sum <= 600 + refilled)
      }
    }
  }
}
