import Testing

@testable import IdentitySvc

@Suite("Passwords")
struct PasswordTests {
  @Test(
    "A password is told from others, whatever is in it",
    arguments: ["x", "correct horse", "pä55wörd 🔑", "a\0b", ""])
  func verified(_ password: String) throws {
    let hash = try Scrypt.hash(password)
    #expect(hash.hasPrefix("$scrypt$ln=14,r=8,p=5$"))
    #expect(PasswordVerdict(password, against: hash) == .right)
    #expect(PasswordVerdict(password + "x", against: hash) == .wrong)
    #expect(PasswordVerdict("other", against: hash) == .wrong)
    #expect(try Scrypt.hash(password) != hash)
  }

  /// The second vector of RFC 7914, section 12, cut to the length of our keys.
  @Test("Hashes are those of RFC 7914")
  func vectors() {
    let rfc = "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI"
    #expect(Scrypt.verify("password", against: rfc) == true)
    #expect(Scrypt.verify("Password", against: rfc) == false)
    #expect(PasswordVerdict("password", against: rfc) == .rightButOutdated)
  }

  @Test("No password is nobody's, and looking costs as much as for somebody's")
  func nobody() {
    let nobodys = Scrypt.nobodys(cost: .init())
    #expect(Scrypt.verify("", against: nobodys) == false)
    #expect(PasswordVerdict("x", against: nil) == .wrong)
    #expect(nobodys.hasPrefix("$scrypt$ln=14,r=8,p=5$"))
  }

  @Test(
    "What is no hash matches nothing",
    arguments: [
      "", "x", "$scrypt$", "$scrypt$ln=14,r=8,p=5$$", "$scrypt$ln=99,r=8,p=5$c2FsdA$c2FsdA", "$2b$99$",
      "$2b$05$short", "$1$salt$hash", "correct horse",
    ])
  func malformed(_ hash: String) {
    #expect(PasswordVerdict("correct horse", against: hash) == .wrong)
  }
}

@Suite("bcrypt")
struct BcryptTests {
  static let password = "correct horse"
  /// By bcrypt 4 of PyPI, and PHP's prefix for the same algorithm.
  static let hashes: [(kind: String, hash: String)] = [
    ("2a", "$2a$05$S4cEIxvM.hymRwL2jut0GePVWlE/KppP4D2ToOuopPh1Kuqnh8bcW"),
    ("2b", "$2b$05$W555p84Dt29mlHAneKY2Zu9uFZp3qkFf/EBplc7JjTfCiuyetz1NG"),
    ("2y", "$2y$05$W555p84Dt29mlHAneKY2Zu9uFZp3qkFf/EBplc7JjTfCiuyetz1NG"),
  ]

  @Test("Hashes of other systems are verified", arguments: hashes.map(\.hash))
  func verified(_ hash: String) {
    #expect(Bcrypt.verify(Self.password, against: hash) == true)
    #expect(Bcrypt.verify("guess", against: hash) == false)
    #expect(Bcrypt.verify(Self.password + "\0x", against: hash) == false)
    #expect(PasswordVerdict(Self.password, against: hash) == .rightButOutdated)
  }

  @Test("One that would take minutes is no hash")
  func expensive() {
    #expect(Bcrypt.verify(Self.password, against: Self.hashes[1].hash.replacing("$05$", with: "$31$")) == nil)
  }
}
