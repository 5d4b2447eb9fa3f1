import Configuration
import SystemPackage

/// The values of a service's settings: flags, then environment, then file, then defaults.
package struct Settings: Sendable {
  package let service: String
  private let declared: [Setting]
  private let values: [String: String]

  /// - Throws: `StartupFailure` naming a flag nobody declared, a file that cannot be read, or every
  ///   required setting without a value.
  package init(
    service: String, declared: [Setting], arguments: [String], environment: [String: String],
    file: String?
  ) async throws {
    self.service = service
    self.declared = declared
    let flags = try Self.flags(in: arguments, declared: declared)
    let document = try await Self.document(at: file)
    var values: [String: String] = [:]
    for setting in declared {
      values[setting.key] =
        flags[setting.key] ?? environment[setting.variable(of: service)]
        ?? document?.string(forKey: ConfigKey(setting.path)) ?? setting.defaultValue
    }
    self.values = values
    let missing = declared.filter { values[$0.key] == nil && !$0.isOptional }
    guard missing.isEmpty else {
      let names = missing.map { "\($0.flag) (\($0.variable(of: service)))" }
      throw StartupFailure("not set: \(names.joined(separator: ", "))")
    }
  }

  /// Every declared setting as `key=value`, secrets redacted, for the start-up log.
  package var redacted: [(key: String, value: String)] {
    declared.compactMap { setting in
      values[setting.key].map { (setting.key, setting.isSecret ? "<redacted>" : $0) }
    }
  }

  package func optional(_ key: String) -> String? { values[key] }

  package func string(_ key: String) throws -> String {
    guard let value = values[key] else { throw StartupFailure("\(name(key)) is not set") }
    return value
  }

  package func bool(_ key: String) throws -> Bool {
    switch try string(key).lowercased() {
    case "true", "yes", "on", "1": true
    case "false", "no", "off", "0": false
    case let other: throw StartupFailure("\(name(key)) must be true or false, not \"\(other)\"")
    }
  }

  package func int(_ key: String, in range: ClosedRange<Int>) throws -> Int {
    let text = try string(key)
    guard let value = Int(text), range.contains(value) else {
      throw StartupFailure(
        "\(name(key)) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\""
      )
    }
    return value
  }

  /// Seconds, with a fraction if need be.
  package func duration(_ key: String) throws -> Duration {
    let text = try string(key)
    guard let seconds = Double(text), seconds >= 0, seconds < 1e9 else {
      throw StartupFailure("\(name(key)) must be a number of seconds, not \"\(text)\"")
    }
    return .seconds(seconds)
  }

  /// How the operator knows a setting: flag and variable.
  package func name(_ key: String) -> String {
    let setting = Setting(key, help: "")
    return "\(setting.flag) (\(setting.variable(of: service)))"
  }

  /// Reads `--flag value` and `--flag=value`. A typo must stop the start, not be ignored.
  private static func flags(in arguments: [String], declared: [Setting]) throws -> [String: String] {
    let keys = Dictionary(uniqueKeysWithValues: declared.map { ($0.flag, $0.key) })
    var found: [String: String] = [:]
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let key = keys[String(parts[0])] else {
        throw StartupFailure("unknown flag \(parts[0]); --help lists the flags there are")
      }
      guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
        throw StartupFailure("\(argument) needs a value")
      }
      found[key] = value
    }
    return found
  }

  private static func document(at path: String?) async throws -> ConfigReader? {
    guard let path else { return nil }
    do {
      return ConfigReader(provider: try await FileProvider<JSONSnapshot>(filePath: FilePath(path)))
    } catch {
      throw StartupFailure("the configuration file \(path) cannot be read: \(error)")
    }
  }
}
