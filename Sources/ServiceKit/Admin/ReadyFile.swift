import Glibc
package import Logging

/// A file that appears when the service is serving and names the addresses it really bound, as JSON:
/// `{"admin":"127.0.0.1:40124","grpc":"127.0.0.1:40123"}`. For supervisors and tests that let the
/// kernel choose the ports.
package struct ReadyFile: Sendable {
  private let path: String
  private let logger: Logger

  package init(path: String, logger: Logger) {
    self.path = path
    self.logger = logger
  }

  /// Written beside and renamed, so a reader never sees half of it.
  func write(_ addresses: [String: String]) {
    let members = addresses.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
    let text = "{\(members.joined(separator: ","))}\n"
    let draft = path + ".new"
    guard let file = fopen(draft, "w"), fputs(text, file) >= 0, fclose(file) == 0,
      rename(draft, path) == 0
    else {
      logger.warning(
        "the ready file cannot be written",
        metadata: ["path": "\(path)", "reason": "\(String(cString: strerror(errno)))"])
      return
    }
  }

  package func remove() { unlink(path) }
}
