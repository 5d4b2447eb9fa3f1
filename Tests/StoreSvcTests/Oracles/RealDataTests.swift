import Foundation
import MainstreetAPI
import RPC
import Testing

@testable import StoreSvc

/// The public data set the rules were found on: 11,116 stores with hours, 13,559 with zones, 9,999 polls. It is not
/// part of the project; `MAINSTREET_DATA` or `../shared/data` says where it lies.
@Suite("Real data")
struct RealDataTests {
  static let directory: URL? = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..").standardized
    let data =
      ProcessInfo.processInfo.environment["MAINSTREET_DATA"].map { URL(filePath: $0) }
      ?? root.appending(path: "../shared/data").standardized
    let directory = data.appending(path: "store-monitoring")
    return FileManager.default.fileExists(atPath: directory.path) ? directory : nil
  }()

  static let oracle = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Oracles/recompute_report.py").standardized

  @Test(
    "All 13,891 rows are what the independent script computes",
    .enabled(if: directory != nil, "skipped: no data at MAINSTREET_DATA or ../shared/data"))
  func everyRow() async throws {
    let directory = try #require(Self.directory)
    let files = ["store_timezones", "business_hours", "store_status"].map {
      directory.appending(path: "\($0).csv.gz")
    }
    let csv = try await TestHouse.with { house in
      let kinds: [TestHouse.ImportKind] = [.timezones, .hours, .polls]
      for (kind, file) in zip(kinds, files) {
        let summary = try await house.importFile(kind, Array(Data(contentsOf: file)))
        #expect(summary.rejected == 0)
      }
      let report = try await house.report(asOf: Timestamp(seconds: 1_674_670_402, nanos: 479_220_000))
      #expect(report.rowCount == 13_891)
      return try await house.download(report.reportId).body
    }
    let report = FileManager.default.temporaryDirectory.appending(path: "report-\(UUID()).csv")
    try csv.write(to: report, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: report) }
    let script = Process()
    script.executableURL = URL(filePath: "/usr/bin/env")
    script.arguments = [
      "python3", Self.oracle.path, "--timezones", files[0].path, "--hours", files[1].path, "--polls",
      files[2].path,
      "--as-of", "2023-01-25T18:13:22.479220Z", report.path,
    ]
    let output = Pipe()
    script.standardOutput = output
    try script.run()
    let said = try output.fileHandleForReading.readToEnd() ?? Data()
    script.waitUntilExit()
    #expect(script.terminationStatus == 0, "\(String(decoding: said, as: UTF8.self))")
    #expect(String(decoding: said, as: UTF8.self).contains("rows: 13891 of 13891 agree"))
  }
}
