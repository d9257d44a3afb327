"""The users of a shared Studio as the front door offers them: added, listed, removed, given a token."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from studio.sharing import users
from studio.verb import Call, query, verb
from workspace.errors import UsageError

USERS = "users.txt"


class UsersCall(Call):
    """Which file of users."""

    file: Path | None = Field(
        None, description="The file of users, as given to studio ui --auth; else users.txt of your home"
    )

    @property
    def path(self) -> Path:
        """The file."""
        return self.home / USERS if self.file is None else self.file.expanduser().absolute()


class AddUserCall(UsersCall):
    """How a user is added."""

    password: SecretStr | None = Field(None, description="The password", json_schema_extra={"hidden": True})


class Listed(BaseModel):
    """One who may log in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    token: bool = Field(description="Whether they have a token for the API")


class AddedUser(BaseModel):
    """Who was added."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    new: bool = Field(description="Whether they were not there before; else their password is another now")
    file: Path


class Token(BaseModel):
    """A token for the API; it is shown once and kept nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    token: str


@verb(AddUserCall)
def user_add(name: str, options: AddUserCall) -> AddedUser:
    """Add a user who may log in to the page, or give one another password.

    Raises:
        UsageError: The name or the password will not do, or the file is open to others.
    """
    if options.password is None:
        raise UsageError("a user has a password")
    new = users.put(options.path, name, options.password.get_secret_value())
    return AddedUser(name=name, new=new, file=options.path)


@query(UsersCall)
def user_list(options: UsersCall) -> list[Listed]:
    """List who may log in to the page."""
    return [Listed(name=one.name, token=bool(one.token)) for one in users.read_users(options.path).values()]


@verb(UsersCall)
def user_remove(name: str, options: UsersCall) -> None:
    """Take a user out; their sessions and their token end at once."""
    users.remove(options.path, name)


@verb(UsersCall)
def user_token(name: str, options: UsersCall) -> Token:
    """Give a user a token for the API in place of the one before."""
    return Token(name=name, token=users.new_token(options.path, name))
