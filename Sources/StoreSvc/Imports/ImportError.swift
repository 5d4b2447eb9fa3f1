import Gzip
import RPC

/// Why a whole upload was refused; nothing of it was kept.
enum ImportError: Error, Equatable {
  case corruptGzip
  case truncatedGzip
  case tooLarge(limit: Int)
  case recordTooLong(line: Int)
  case unclosedQuote(line: Int)
  case noHeader
  case missingColumn(String)
  case repeatedColumn(String)
  case tooManyRows(Int)
  case tooManyStores(Int)
  case silent(Duration)
  case tookTooLong(Duration)
  /// A store of the file was deleted while the import ran.
  case storeDeleted
  case tooManyImports

  init(_ failure: GzipInflater.Failure) {
    switch failure {
    case .corrupt: self = .corruptGzip
    case .truncated: self = .truncatedGzip
    case .tooLarge(let limit): self = .tooLarge(limit: limit)
    }
  }

  init(_ failure: CSVReader.Failure) {
    switch failure {
    case .recordTooLong(let line): self = .recordTooLong(line: line)
    case .unclosedQuote(let line): self = .unclosedQuote(line: line)
    }
  }

  init(_ failure: CSVColumns.Failure) {
    switch failure {
    case .noHeader: self = .noHeader
    case .missing(let name): self = .missingColumn(name)
    case .repeated(let name): self = .repeatedColumn(name)
    }
  }

  var rpcError: RPCError {
    switch self {
    case .corruptGzip:
      RPCError(.invalidArgument, "the gzip data is damaged", reason: "IMPORT_GZIP_CORRUPT")
    case .truncatedGzip:
      RPCError(
        .invalidArgument, "the gzip data ends early; the upload is incomplete",
        reason: "IMPORT_GZIP_TRUNCATED")
    case .tooLarge(let limit):
      RPCError(.invalidArgument, "the file inflates to more than \(limit) bytes", reason: "IMPORT_TOO_LARGE")
    case .recordTooLong(let line):
      RPCError(
        .invalidArgument, "the record at line \(line) is longer than \(CSVReader.largestRecord) bytes",
        reason: "IMPORT_RECORD_TOO_LONG")
    case .unclosedQuote(let line):
      RPCError(
        .invalidArgument, "the quote opened at line \(line) never closes", reason: "IMPORT_UNCLOSED_QUOTE")
    case .noHeader:
      RPCError(.invalidArgument, "the file is empty; a header line was expected", reason: "IMPORT_NO_HEADER")
    case .missingColumn(let name):
      RPCError(
        .invalidArgument, "the header has no column \(name)", reason: "IMPORT_COLUMN_MISSING",
        details: ["column": name])
    case .repeatedColumn(let name):
      RPCError(
        .invalidArgument, "the header has the column \(name) twice", reason: "IMPORT_COLUMN_REPEATED",
        details: ["column": name])
    case .tooManyStores(let limit):
      RPCError(.invalidArgument, "the file has more than \(limit) stores", reason: "IMPORT_TOO_MANY_STORES")
    case .tooManyRows(let limit):
      RPCError(
        .invalidArgument, "the file has more than \(limit) rows; split it", reason: "IMPORT_TOO_MANY_ROWS")
    case .silent(let limit):
      RPCError(
        .deadlineExceeded, "nothing of the upload came for \(limit.components.seconds) seconds",
        reason: "IMPORT_SILENT")
    case .tookTooLong(let limit):
      RPCError(
        .deadlineExceeded, "the import took more than \(limit.components.seconds) seconds",
        reason: "IMPORT_TOOK_TOO_LONG")
    case .storeDeleted:
      RPCError(
        .aborted, "a store of the file was deleted during the import; nothing of it was kept, try again",
        reason: "CONFLICT")
    case .tooManyImports:
      RPCError(
        .resourceExhausted, "too many imports are running; try again in a moment", reason: "IMPORTS_BUSY",
        retryAfter: .seconds(5))
    }
  }
}
