#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The names of the IANA time zone database of this machine, zones and links.
public struct TimeZoneNames: Sendable {
  public static let directory = "/usr/share/zoneinfo"

  /// Read once; new zones take a restart.
  public static let system = TimeZoneNames(tzdata: readFile("\(directory)/tzdata.zi"))

  public let names: Set<String>

  public func contains(_ name: String) -> Bool { names.contains(name) }

  /// - Parameter tzdata: the text of `tzdata.zi`: `Z name …` is a zone, `L target name` a link.
  init(tzdata: String) {
    var names: Set<String> = []
    for line in tzdata.utf8.split(separator: UInt8(ascii: "\n")) {
      let words = line.split(separator: UInt8(ascii: " "), maxSplits: 3)
      switch words.first.flatMap(Substring.init) {
      case "Z" where words.count > 1: names.insert(String(Substring(words[1])))
      case "L" where words.count > 2: names.insert(String(Substring(words[2])))
      default: continue
      }
    }
    // In the database, but no place: what a machine has whose zone nobody set.
    names.remove("Factory")
    self.names = names
  }
}

/// The text of a file; empty when it cannot be read.
private func readFile(_ path: String) -> String {
  guard let file = fopen(path, "r") else { return "" }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 64 * 1024)
  while true {
    let count = fread(&chunk, 1, chunk.count, file)
    guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
    bytes += chunk[..<count]
  }
}
