import ArgumentParser
import CoreMetrics
import Foundation
import Logging
import NIOCore
import NIOPosix
import Postgres
import RPC
import ServiceKit

/// Our side of `./dev bench postgres`. Each command prints one line of JSON.
@main
struct PostgresPeer: ParsableCommand {
  static let configuration = CommandConfiguration(subcommands: [Select.self, Insert.self, Copy.self])
}

struct Connecting: ParsableArguments {
  @Option(help: "A libpq URL.") var url: String
  @Option(help: "Connections that callers share.") var connections = 2
}

/// Callers that each read one row, then the next.
struct Select: ParsableCommand {
  @OptionGroup var connecting: Connecting
  @Option(help: "Callers.") var callers = 64
  @Option(help: "For how long.") var seconds = 5.0
  @Option(help: "Accounts are numbered from 1 to this.") var accounts: Int32 = 1_000_000
  @Option(help: "Read this tenant's accounts, through row-level security.") var tenant: String?

  func run() throws {
    let tenant = try tenant.map { text in
      guard let tenant = Postgres.UUID(text) else { throw ValidationError("no UUID: \(text)") }
      return tenant
    }
    try measured(connecting) { client, executor in
      try await read(client, executor, tenant, until: .now() + .nanoseconds(Int64(seconds * 1e9)))
    }
  }

  private func read(
    _ client: PostgresClient, _ executor: any TaskExecutor, _ tenant: Postgres.UUID?, until end: NIODeadline
  ) async throws -> [Int64] {
    let accounts = accounts
    return try await withThrowingTaskGroup(of: [Int64].self) { group in
      for caller in 0..<callers {
        group.addTask(executorPreference: executor) {
          var latencies: [Int64] = []
          var random = XorShift(seed: UInt64(caller))
          var start = NIODeadline.now()
          while start < end {
            let account = Int32.random(in: 1...accounts, using: &random)
            let balance =
              if let tenant {
                try await client.executeOne(TenantBalance(tenant: tenant, account: account), tenant: tenant)
              } else {
                try await client.executeOne(Balance(account: account), tenant: nil)
              }
            precondition(balance != nil, "every account is there")
            let now = NIODeadline.now()
            latencies.append((now - start).nanoseconds)
            start = now
          }
          return latencies
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }
}

/// Rows in batches, each one statement with an array for each column.
struct Insert: ParsableCommand {
  @OptionGroup var connecting: Connecting
  @Option(help: "Rows.") var rows = 1_000_000
  @Option(help: "Rows in a batch.") var batch = 1000
  @Option(help: "Batches under way at a time.") var callers = 4

  func run() throws {
    try measured(connecting) { client, executor in
      let (rows, batch, callers) = (rows, batch, callers)
      return try await withThrowingTaskGroup(of: [Int64].self) { group in
        for caller in 0..<callers {
          group.addTask(executorPreference: executor) {
            var latencies: [Int64] = []
            for first in stride(from: caller * batch, to: rows, by: callers * batch) {
              let start = NIODeadline.now()
              let insert = InsertEvents(numbers: first..<min(first + batch, rows))
              let count = try await client.executeCount(insert, tenant: nil)
              precondition(count == insert.numbers.count, "every row is inserted")
              latencies.append((NIODeadline.now() - start).nanoseconds)
            }
            return latencies
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
    }
  }
}

/// Rows by COPY, in binary.
struct Copy: ParsableCommand {
  @OptionGroup var connecting: Connecting
  @Option(help: "Rows.") var rows = 1_000_000

  func run() throws {
    try measured(connecting) { client, executor in
      let rows = rows
      let start = NIODeadline.now()
      let count = try await client.copyIn(
        "COPY bench_events (id, at, note) FROM STDIN (FORMAT binary)", tenant: nil
      ) { writer in
        for number in 0..<rows {
          let event = Event(number)
          try await writer.writeRow { row in
            row.append(event.id)
            row.append(event.at)
            row.append(event.note)
          }
        }
      }
      precondition(count == rows, "every row is copied")
      return [(NIODeadline.now() - start).nanoseconds]
    }
  }
}

/// Chance without a system call for each number, as pgbench has it.
private struct XorShift: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = (seed + 1) &* 0x9E37_79B9_7F4A_7C15 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

/// Measures what the body does; it returns how long each of its operations took.
private func measured(
  _ connecting: Connecting,
  _ body: @escaping @Sendable (PostgresClient, any TaskExecutor) async throws -> [Int64]
) throws {
  // Counted and timed as in every service of ours.
  MetricsSystem.bootstrap(MetricsRegistry())
  var configuration = PostgresClient.Configuration(url: connecting.url, applicationName: "bench")
  configuration.sharedConnections = connecting.connections
  let client = try PostgresClient(configuration: configuration, logger: Logger(label: "bench"))
  let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
  let done = DispatchSemaphore(value: 0)
  Task {
    do {
      // Where a service's handlers run.
      let executor = try await loop.submit { EventLoopTaskExecutor.current(on: loop) }.get()
      let (start, cpuBefore) = (NIODeadline.now(), cpuSeconds())
      let latencies = try await body(client, executor).sorted()
      let cpu = cpuSeconds() - cpuBefore
      let seconds = Double((NIODeadline.now() - start).nanoseconds) / 1e9
      func percentile(_ share: Double) -> Double {
        Double(latencies[Int(Double(latencies.count - 1) * share)]) / 1e6
      }
      print(
        """
        {"operations": \(latencies.count), "seconds": \(seconds), "cpu_seconds": \(cpu), \
        "p50_ms": \(percentile(0.5)), "p99_ms": \(percentile(0.99))}
        """)
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(1)
    }
    done.signal()
  }
  done.wait()
}

/// What the process has used of the processors so far.
private func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
