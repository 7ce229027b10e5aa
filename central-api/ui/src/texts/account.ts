// Words of logging in and of one's own account.
import type { Text } from "../app/language.svelte";

export const account = {
  logIn: { uk: "Вхід", en: "Log in" },
  enter: { uk: "Увійти", en: "Log in" },
  email: { uk: "Електронна пошта", en: "E-mail" },
  password: { uk: "Пароль", en: "Password" },
  wrong: { uk: "Пошта або пароль неправильні.", en: "E-mail or password is wrong." },
  tooOften: { uk: "Забагато спроб. Зачекайте кілька хвилин.", en: "Too many tries. Wait a few minutes." },
  tagline: { uk: "Який клік приніс які гроші", en: "Which click became which money" },
  role: { uk: "Роль", en: "Role" },
  admin: { uk: "адміністратор", en: "admin" },
  viewer: { uk: "глядач", en: "viewer" },
  changePassword: { uk: "Змінити пароль", en: "Change password" },
  currentPassword: { uk: "Поточний пароль", en: "Current password" },
  newPassword: { uk: "Новий пароль", en: "New password" },
  newPasswordHint: { uk: "Щонайменше 10 символів. Інші входи буде завершено.", en: "At least 10 characters. Your other logins end." },
  repeatPassword: { uk: "Новий пароль ще раз", en: "New password again" },
  notTheSame: { uk: "Паролі різні.", en: "The passwords differ." },
  passwordChanged: { uk: "Пароль змінено, інші входи завершено.", en: "The password is changed, your other logins ended." },
  logins: { uk: "Активні входи", en: "Live logins" },
  loginsAbout: {
    uk: "Браузери, у яких зараз виконано вхід. Завершіть ті, яких не впізнаєте.",
    en: "Browsers that are logged in now. End those that you do not know.",
  },
  who: { uk: "Хто", en: "Who" },
  browser: { uk: "Браузер", en: "Browser" },
  since: { uk: "Вхід", en: "Logged in" },
  lastUsed: { uk: "Остання дія", en: "Last used" },
  thisOne: { uk: "цей браузер", en: "this browser" },
  end: { uk: "Завершити", en: "End" },
  unknown: { uk: "невідомо", en: "unknown" },
} as const satisfies Record<string, Text>;
