import Foundation

@testable import TimeZones

extension TimeZoneRules {
  /// The zone as this machine has it.
  static func installed(_ name: String) throws -> TimeZoneRules {
    try TimeZoneRules(tzif: Array(Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/\(name)"))))
  }
}
