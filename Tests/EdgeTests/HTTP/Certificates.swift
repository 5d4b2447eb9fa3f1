import Foundation
import Testing

/// Certificates made on the fly with openssl's command line, gone when this is.
final class Certificates: Sendable {
  let directory: String

  init() throws {
    let template = FileManager.default.temporaryDirectory.path + "/mainstreet-tls-XXXXXX"
    var path = Array(template.utf8CString)
    directory = try #require(mkdtemp(&path).map { String(cString: $0) })
    for authority in ["authority", "other-authority"] {
      try openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=\(authority)",
        "-keyout \(authority).key -out \(authority).pem")
    }
    try issue("server", names: "DNS:localhost,DNS:store.test,IP:127.0.0.1")
    try issue("client", names: "DNS:edge.test,URI:spiffe://mainstreet/edge,email:edge@mainstreet.test")
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func path(_ name: String) -> String { "\(directory)/\(name)" }

  /// Makes `name.pem` and `name.key`.
  /// - Parameter days: how long it is good for; `nil` for one that has expired.
  func issue(
    _ name: String, names: String = "DNS:localhost,IP:127.0.0.1", by authority: String = "authority",
    days: Int? = 30
  ) throws {
    try openssl(
      "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=Mainstreet/CN=\(name)",
      "-keyout \(name).new.key -out \(name).csr")
    try Data("subjectAltName=\(names)\n".utf8).write(to: URL(filePath: path("\(name).ext")))
    try openssl(
      "x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority).key -CAcreateserial",
      "-extfile \(name).ext -days \(days ?? -1) -out \(name).new.pem")
    for kind in ["pem", "key"] {
      guard rename(path("\(name).new.\(kind)"), path("\(name).\(kind)")) == 0 else { throw OpenSSLError() }
    }
  }

  /// Runs openssl with the words of `arguments`.
  private func openssl(_ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/openssl")
    process.currentDirectoryURL = URL(filePath: directory)
    process.arguments = arguments.flatMap { $0.split(separator: " ").map(String.init) }
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw OpenSSLError() }
  }
}

struct OpenSSLError: Error {}
