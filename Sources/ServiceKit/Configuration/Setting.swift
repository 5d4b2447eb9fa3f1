/// One thing an operator can set: the single declaration behind its flag, its environment variable,
/// its place in the configuration file, its line in `--help` and its line in the start-up log.
///
/// A setting `grpc.listen` of the service `store` is the flag `--grpc-listen`, the variable
/// `MAINSTREET_STORE_GRPC_LISTEN` and `{"grpc": {"listen": …}}` in the file. A flag wins over the
/// environment, the environment over the file.
package struct Setting: Sendable {
  /// Dotted, lower-case, words of a component joined by `-`, e.g. `database.url`.
  package let key: String
  package let help: String
  /// Absent: the service does not start without a value, unless `isOptional`.
  package let defaultValue: String?
  package let isOptional: Bool
  /// Printed as `<redacted>`.
  package let isSecret: Bool

  package init(
    _ key: String, default defaultValue: String? = nil, optional: Bool = false, secret: Bool = false,
    help: String
  ) {
    self.key = key
    self.help = help
    self.defaultValue = defaultValue
    self.isOptional = optional
    self.isSecret = secret
  }

  /// `grpc.listen` → `["grpc", "listen"]`; words stay together for the providers to spell.
  var path: [String] { key.split(separator: ".").map(String.init) }

  /// `grpc.listen` → `--grpc-listen`.
  package var flag: String { "--" + key.replacing(".", with: "-") }

  /// `grpc.listen` of `store` → `MAINSTREET_STORE_GRPC_LISTEN`.
  package func variable(of service: String) -> String {
    ("MAINSTREET_" + service + "_" + key).uppercased()
      .replacing(".", with: "_").replacing("-", with: "_")
  }
}

/// A start that cannot go on. Its message is the one line the operator reads, so it names what is
/// wrong and what to change.
package struct StartupFailure: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
