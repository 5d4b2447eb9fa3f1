import Logging
import NIOSSL
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What connections are secured with, made from files and made anew when these change.
final class ReloadingContext: Sendable {
  private struct State {
    var context: NIOSSLContext
    var stamps: [FileStamp?]
  }

  private let files: [String]
  private let make: @Sendable () throws -> NIOSSLContext
  private let state: Mutex<State>

  init(files: [String], make: @escaping @Sendable () throws -> NIOSSLContext) throws {
    self.files = files
    self.make = make
    // Looked at first: a change while they are read is found the next time.
    let stamps = files.map { FileStamp(of: $0) }
    state = Mutex(State(context: try make(), stamps: stamps))
  }

  var current: NIOSSLContext { state.withLock { $0.context } }

  /// Reads the files if one has changed since they were last read, well or not.
  func reload() throws -> Bool {
    let stamps = files.map { FileStamp(of: $0) }
    let isNew = state.withLock { state in
      defer { state.stamps = stamps }
      return state.stamps != stamps
    }
    guard isNew else { return false }
    let context = try make()
    state.withLock { $0.context = context }
    return true
  }

  /// Looks at the files once in every interval, until it is cancelled.
  func watch(every interval: Duration, logger: Logger) async {
    while (try? await Task.sleep(for: interval)) != nil {
      do {
        if try reload() {
          logger.notice("TLS files read again", metadata: ["files": "\(files.joined(separator: " "))"])
        }
      } catch {
        logger.error("TLS files have changed and cannot be used; those read before stay in use: \(error)")
      }
    }
  }
}

/// Tells whether a file is still the one that was read. Names that point elsewhere are followed, as secrets are
/// mounted that way.
private struct FileStamp: Equatable {
  private let device: UInt64
  private let inode: UInt64
  private let size: Int64
  private let seconds: Int
  private let nanoseconds: Int

  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
    #if canImport(Darwin)
      let modified = status.st_mtimespec
    #else
      let modified = status.st_mtim
    #endif
    seconds = modified.tv_sec
    nanoseconds = modified.tv_nsec
  }
}
