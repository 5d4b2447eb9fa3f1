/// The five characters that say what went wrong (PostgreSQL manual, Appendix A).
package struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package let rawValue: String

  package init(rawValue: String) { self.rawValue = rawValue }
  private init(_ rawValue: String) { self.rawValue = rawValue }

  package var description: String { rawValue }

  package static let featureNotSupported = Self("0A000")
  package static let characterNotInRepertoire = Self("22021")
  package static let invalidTextRepresentation = Self("22P02")
  package static let untranslatableCharacter = Self("22P05")
  package static let notNullViolation = Self("23502")
  package static let foreignKeyViolation = Self("23503")
  package static let uniqueViolation = Self("23505")
  package static let checkViolation = Self("23514")
  package static let exclusionViolation = Self("23P01")
  package static let readOnlyTransaction = Self("25006")
  package static let inFailedTransaction = Self("25P02")
  package static let invalidStatementName = Self("26000")
  package static let serializationFailure = Self("40001")
  package static let deadlockDetected = Self("40P01")
  package static let insufficientPrivilege = Self("42501")
  package static let undefinedTable = Self("42P01")
  package static let programLimitExceeded = Self("54000")
  package static let lockNotAvailable = Self("55P03")
  package static let queryCanceled = Self("57014")
  package static let adminShutdown = Self("57P01")
  package static let crashShutdown = Self("57P02")
  package static let cannotConnectNow = Self("57P03")
}
