internal import FoundationEssentials
internal import Schema
internal import Synchronization

/// The zones of the IANA database installed on this machine, each read when first asked for.
package final class TimeZones: Sendable {
  package static let defaultName = "America/Chicago"

  private let directory: String
  private let known = Mutex<[String: TimeZoneRules]>([:])

  package struct Unknown: Error {
    package var name: String
  }

  /// - Throws: `Unknown` when not even the default zone is there: then the database is not installed.
  package init(directory: String = "/usr/share/zoneinfo") throws(Unknown) {
    self.directory = directory
    _ = try rules(Self.defaultName)
  }

  package func rules(_ name: String) throws(Unknown) -> TimeZoneRules {
    if let rules = known.withLock({ $0[name] }) { return rules }
    guard Self.isName(name), let bytes = FileManager.default.contents(atPath: "\(directory)/\(name)"),
      let rules = try? TimeZoneRules(tzif: Array(bytes))
    else { throw Unknown(name: name) }
    known.withLock { $0[name] = rules }
    return rules
  }

  /// Whether it is the name of a zone, letter for letter: some file systems find more, such as `America//Chicago`.
  package func contains(_ name: String) -> Bool {
    TimeZoneNames.system.contains(name) && (try? rules(name)) != nil
  }

  /// Whether it could be a name of the database: nothing that leads out of its directory, nor into the copies
  /// beside it that count leap seconds.
  private static func isName(_ name: String) -> Bool {
    let notZones = ["localtime", "posixrules", "Factory"]
    return (1...64).contains(name.utf8.count) && !notZones.contains(name)
      && name.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
          || Array("_+-/".utf8).contains(byte)
      }
      && !["/", "posix/", "right/"].contains { name.hasPrefix($0) }
  }
}
