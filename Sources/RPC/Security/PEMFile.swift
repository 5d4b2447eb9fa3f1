import NIOCore
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A certificate or key cannot be used. The one line an operator reads.
package struct TLSFileError: Error, Hashable, CustomStringConvertible {
  package let file: String
  package let fault: String
  package var description: String { "\(file): \(fault)" }
}

/// Reads certificates and keys.
enum PEMFile {
  /// Bytes of a file. A bundle of all the world's authorities has a quarter of it.
  private static let maxBytes = 1 << 20

  /// A chain and the key of its first certificate.
  static func identity(
    certificate: String, key: String
  ) throws(TLSFileError) -> ([NIOSSLCertificate], NIOSSLPrivateKey) {
    let chain = try certificates(in: certificate)
    let bytes = try contents(of: key)
    guard let key = try? NIOSSLPrivateKey(bytes: bytes, format: .pem) else {
      throw TLSFileError(file: key, fault: "no private key in PEM, or one that is encrypted")
    }
    return (chain, key)
  }

  static func certificates(in file: String) throws(TLSFileError) -> [NIOSSLCertificate] {
    let bytes = try contents(of: file)
    guard let certificates = try? NIOSSLCertificate.fromPEMBytes(bytes), !certificates.isEmpty else {
      throw TLSFileError(file: file, fault: "no certificate in PEM")
    }
    return certificates
  }

  private static func contents(of file: String) throws(TLSFileError) -> [UInt8] {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TLSFileError(file: file, errno: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw TLSFileError(file: file, errno: errno) }
      if count == 0 { break }
      bytes += piece[..<count]
      guard bytes.count <= maxBytes else {
        throw TLSFileError(file: file, fault: "larger than \(maxBytes) bytes")
      }
    }
    guard !bytes.isEmpty else { throw TLSFileError(file: file, fault: "empty") }
    return bytes
  }
}

extension TLSFileError {
  fileprivate init(file: String, errno: CInt) {
    self.init(file: file, fault: strerror(errno).map { String(cString: $0) } ?? "error \(errno)")
  }
}

extension NIOSSLContext {
  /// What client and server have in common. `certificate` and `key` are named in errors.
  convenience init(house configuration: TLSConfiguration, certificate: String?, key: String?)
    throws(TLSFileError)
  {
    var configuration = configuration
    configuration.minimumTLSVersion = .tlsv12
    // The peer is to confirm the end; one that does not must not hold up a drain.
    configuration.shutdownTimeout = .seconds(1)
    do {
      try self.init(configuration: configuration)
    } catch NIOSSLError.failedToLoadPrivateKey {
      throw TLSFileError(file: key ?? "", fault: "not the key of the certificate in \(certificate ?? "")")
    } catch {
      throw TLSFileError(file: certificate ?? "", fault: "not fit for TLS: \(error)")
    }
  }
}
